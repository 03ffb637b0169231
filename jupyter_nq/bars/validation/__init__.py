"""Validation: what is wrong with bars, said rule by rule, with the rows. Nothing is changed or dropped."""
