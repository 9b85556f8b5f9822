"""What every test here runs under."""

from hypothesis import settings

# these machines are noisy: how long an example takes proves nothing
settings.register_profile("cuvee", deadline=None)
settings.load_profile("cuvee")
