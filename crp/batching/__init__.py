"""Many jobs at once: tasks from files, jobs started a few at a time, results as they come.

task.py         one task of a batch, and the ids of its jobs
tasks_file.py   tasks from JSONL, CSV, or a file a task; every mistake with its line
results.py      the file of results: what is done stands there, and is not done again
spending.py     what the batch may cost, and what it has cost
running.py      starts the jobs and waits for them
summary.py      how it went
"""
