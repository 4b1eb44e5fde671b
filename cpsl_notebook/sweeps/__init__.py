"""One prompt over many rows: fill, send, store, parse, and return a DataFrame.

`cpsl_notebook.sweep` is the public function. Worker processes import only `worker` and
`dask_claims`, which need neither IPython nor pandas.
"""
