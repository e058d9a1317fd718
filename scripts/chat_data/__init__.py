"""The small world of the default chat model: its facts, its wordings and the conversations made of them.

`facts` holds every fact once; the data generator writes replies from it and the evaluation checks against it.
"""
