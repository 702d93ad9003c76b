"""The demo: real and simulated events through the whole service, watched live and judged at the end."""
