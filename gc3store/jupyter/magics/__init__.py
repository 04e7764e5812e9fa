"""The magics: ``%store_save`` and its kin, one method each."""
