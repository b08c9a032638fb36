"""The parameter `contract`: a file, or the name of a shipped contract."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from il_ros.core import contract
from il_ros.core.contract import Contract, ContractError
from il_ros.nodes.runtime.parameters import CONFIGURE, declare
from il_ros.nodes.runtime.shell import Refusal


def declare_contract(node: Node, default: str = "") -> str:
    """Declare the parameter `contract` and return its text."""
    described = "contract: path of a YAML file, or the name of one in config/contracts"
    managed = isinstance(node, LifecycleNode)  # any other node reads it once, at start
    return declare(
        node, "contract", default, described, read_only=not managed, read_at=CONFIGURE if managed else ""
    )


def load_contract(name: str) -> Contract:
    """Return the contract in file `name`, or shipped under that name; raises Refusal with the reason."""
    if not name:
        raise Refusal(
            "parameter contract is empty: give the path of a contract file, or the name of a shipped one"
        )
    try:
        return contract.find(name)
    except ContractError as error:
        raise Refusal(str(error)) from error
