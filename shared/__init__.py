"""What two services must agree on: messages, audio frames, wire format, keys, errors, agent files. Pure, except `io`."""
