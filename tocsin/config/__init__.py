"""The configuration: one typed tree from one file, with environment variables over it."""

from tocsin.config.located import ConfigurationError, Problem
from tocsin.config.schema import json_schema
from tocsin.config.tree import Configuration, load_configuration

__all__ = ["Configuration", "ConfigurationError", "Problem", "json_schema", "load_configuration"]
