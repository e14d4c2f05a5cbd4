"""eSpeak NG: text to speech on this machine, in many languages."""
