"""What can be watched from outside: spans, metrics, logs. All off, and free, unless asked for."""
