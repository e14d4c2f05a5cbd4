"""From a reply to sound, and from what was played of it to the words that the caller heard."""
