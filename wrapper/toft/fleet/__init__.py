"""The use cases, one a file: what toft can do, called alike by every face."""
