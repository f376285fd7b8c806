"""The front door: what people import and type. Empty: the workflow sandbox imports it."""
