"""What is done (floor 3): plain functions on the store. The same under Celery, under RQ, and in a unit test."""
