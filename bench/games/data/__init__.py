"""Image sets in files, and the features that images are judged by.

`formats` knows the files of each set and their checksums, `loading` finds and reads them, `download` fetches them.
`classifiers` ships small trained networks (``weights/``), `inception` reads the weights of Inception, `features` turns
a name such as ``inception:PATH`` into either. Nothing is read before a minibatch is asked for.
"""
