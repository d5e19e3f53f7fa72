"""A load that judges every answer: lost requests, wrong colours, sessions. It runs on the lab's client."""
