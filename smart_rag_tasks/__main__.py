"""``python -m smart_rag_tasks`` is the program ``smart-rag-tasks``."""

from .cli import main

main()
