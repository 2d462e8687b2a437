"""Networks that both sides build: their settings, modules and losses; only what builds or trains one imports torch."""
