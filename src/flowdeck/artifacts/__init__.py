"""Where artifacts are kept: files, S3, Google Cloud Storage or Azure, behind one interface."""
