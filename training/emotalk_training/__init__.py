"""Training of the bundled face model: corpus, labels by rule, augmentation, the loop, evaluation, the model card."""
