"""`python -m trainer.ensemble`: several trained models combined into one."""
