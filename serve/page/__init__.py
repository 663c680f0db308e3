"""Templates, style and scripts of the page to try the service; served by `serve.routes.page`."""
