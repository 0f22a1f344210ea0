"""Networks for all replicas at once: a layer's weights carry a leading axis of replicas.

Activations are features first, [R, features, ..., batch]. `layers` and `convolution` define the layers, `networks`
combines them, `backward` computes their gradients in closed form. `stacking` and `translation` turn ordinary torch
modules into stacked ones.
"""
