"""Training: text or conversations in, a model directory out. `run.train` is the whole of it.

settings    TrainSettings: every choice of a run, checked, without torch
corpus      files -> token ids of documents, held-out split, counts
batches     documents -> one flat batch without crossing and with little padding
forward     the packed forward pass and its loss, equal to GPT.forward document by document
schedule    step -> learning rate
trainer     Trainer: step, evaluate, state
state       the resumable state on disk
run         one run from files to a model directory
plot        loss.png, where matplotlib is installed
"""
