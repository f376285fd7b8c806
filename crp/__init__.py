"""The front door: what people import and type. Empty on purpose: the workflow sandbox imports it."""
