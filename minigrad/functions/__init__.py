"""Functions of tensors that need no derivative rule of their own: compositions of the operations of ops/, and draws.

What lives here: what neither the rules nor the operations themselves need. What does not: anything with a rule.
"""
