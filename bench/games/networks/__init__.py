"""Networks for all replicas at once: a layer's weights carry a leading axis of replicas.

Activations are features first, [R, features, ..., batch]. `layers` and `convolution` are the layers, `networks` puts
them together, `backward` takes their gradients in closed form. `stacking` and `translation` turn ordinary modules of
torch into stacked ones.
"""
