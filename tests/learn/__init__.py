"""How lessons are read, judged, copied and run."""
