"""What every door needs, whatever its protocol: settings, capacity, errors, options, faces, frame rates, metrics."""
