"""Networks for all replicas at once: a layer's weights carry a leading axis of replicas.

Activations are features first, [R, features, ..., batch]. `layers` and `convolution` define the layers, `networks`
combines them, `blocks` has layers beyond a chain of products and `named` networks of any topology, `backward` computes their gradients in closed form. `stacking` and `translation` turn ordinary torch
modules into stacked ones.
"""
