// The agent, and room for the engine block, which scripts/board.mjs fills in for a maker.

        .section .agent, "a"
        .balign 8
        .global agent_bytecode
agent_bytecode:
        .incbin "agent.bytecode"

        .section .engine_block, "a"
        .byte 0xff
