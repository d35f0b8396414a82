"""Networks made of parts, which are what their configuration consists of."""

from typing import Any

import tf_keras


class Parts(tf_keras.Model):
  """A network whose constructor takes layers by name, and keeps them under these names.

  Args:
    parts: by name; None: a part that this network does without.
  """

  def __init__(self, parts: dict[str, tf_keras.layers.Layer | None], **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self._part_names = tuple(parts)
    for name, part in parts.items():
      setattr(self, name, part)

  @property
  def checkpoint_items(self) -> dict[str, tf_keras.layers.Layer]:
    """Parts that TFMG saves by name, so that another task can start from one of them."""
    parts = {name: getattr(self, name) for name in self._part_names}
    return {name: part for name, part in parts.items() if part is not None}

  def get_config(self) -> dict[str, Any]:
    parts = self.checkpoint_items.items()
    return {"name": self.name} | {name: tf_keras.layers.serialize(part) for name, part in parts}

  @classmethod
  def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Parts":
    parts = {
      name: tf_keras.layers.deserialize(part, custom_objects)
      for name, part in config.items()
      if name != "name"
    }
    return cls(**parts, name=config["name"])
