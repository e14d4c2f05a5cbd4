"""Hears, thinks and speaks in the sessions of media workers.

`session` wires one conversation together: hearing, turns, tools, speaking, and the engines behind them.
"""
