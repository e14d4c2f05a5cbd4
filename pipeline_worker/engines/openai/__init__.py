"""OpenAI and servers that speak its protocol: language model, speech to text, text to speech."""
