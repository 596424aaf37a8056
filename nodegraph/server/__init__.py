"""The HTTP server: documents, jobs, events and files for the editor and for programs. It never imports torch.

`app` puts it together; `routing` declares endpoints, from which `openapi` describes the API; `routes` are the endpoints.
"""
