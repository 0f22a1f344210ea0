"""The parts of a game of networks, apart from the networks: the two-player harness, its losses, its data.

`gan` is the harness: a generator and a discriminator for each replica, a loss by name. `points` and `images` are GANs
on points of the plane and on images, `modules` makes a game of a user's own `nn.Module`s. `losses` and `regularisers`
are found by name. `linear_field` is for games whose field is a matrix.
"""
