"""Video jobs: what runs them, what they answer, who is told. Where they are kept: `serve.store.jobs`."""
