"""The command line ``wilor-yolo verb key=value ...``: one verb a file, heavy imports late."""
