"""Faces through Kafka."""
