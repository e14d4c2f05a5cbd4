"""What two services must agree on: messages, frames, wire format, keys, errors, agent files. Only `io` does IO."""
