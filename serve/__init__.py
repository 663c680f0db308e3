"""The HTTP service: a Ray Serve application around `judge`.

Data flow: request -> routes (authorise, limit, read) -> `Work`, one per media -> `Backend` -> `Reply` -> routes.
The backend is `JudgeService`, in this process or in replicas behind Ray handles; the routes cannot tell.
"""
