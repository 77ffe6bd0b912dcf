"""Training on a task of your own: files to records, examples, batches, one loop, metrics."""
