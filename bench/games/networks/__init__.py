"""Networks for all replicas at once: a layer's weights carry a leading axis of replicas.

Activations are features first, [R, features, ..., batch]. `layers` and `convolution` define the layers, `networks`
combines them, `backward` computes their gradients in closed form. `blocks` has layers beyond a chain of products,
`named` networks of any topology. `stacking` and `translation` turn ordinary torch modules into stacked ones.
"""
