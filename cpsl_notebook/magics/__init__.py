"""The ``%capsule`` and ``%%capsule`` magics: parsing, dispatch and completion."""
