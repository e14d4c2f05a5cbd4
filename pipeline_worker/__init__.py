"""Hears, thinks and speaks for sessions that a media worker holds.

`session` wires one conversation together: hearing, turns, tools, speaking, and the engines behind them.
"""
