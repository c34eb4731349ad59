"""Which profiles are asked for together? All of an event's: those of its user and its device."""

from __future__ import annotations

from feast import FeatureService

from features.feast_repo.views import device_profile, user_profile

decision_profiles = FeatureService(
    name="decision_profiles",
    features=[user_profile, device_profile],
    description="Everything slow that a decision may know",
)
user_profiles = FeatureService(
    name="user_profiles", features=[user_profile], description="The profile of a user"
)
device_profiles = FeatureService(
    name="device_profiles", features=[device_profile], description="The profile of a device"
)
SERVICES = (decision_profiles, user_profiles, device_profiles)
