"""Requests and answers of contracts that are not ours, as JSON."""
