"""A reply becomes sound, and the sound that was played becomes the words that were heard: sentences, text
normalization, synthesis, word alignment, the downlink.
"""
