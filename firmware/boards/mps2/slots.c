// Instructions of ours, in the middle of Duktape's executor: the Makefile puts them before its NOP. A is a
// register, BC a slot. What they may throw is what loading a function may: the heap is full.

case 240: { // SLOT_GET
  duk_tval *slot = slots + DUK_DEC_BC(ins);
  if (DUK_UNLIKELY(DUK_TVAL_IS_POINTER(slot))) load_slot(thr, slot);
  duk_tval *to = DUK__REGP_A(ins); // loading may have moved the stack
  DUK_TVAL_SET_TVAL_UPDREF(thr, to, slot);
  break;
}
case 241: { // SLOT_PUT
  duk_tval *slot = slots + DUK_DEC_BC(ins), *from = DUK__REGP_A(ins);
  DUK_TVAL_SET_TVAL_UPDREF(thr, slot, from);
  break;
}
case 242: { // SLOT_CALL: the function, and no `this`
  duk_tval *slot = slots + DUK_DEC_BC(ins);
  if (DUK_UNLIKELY(DUK_TVAL_IS_POINTER(slot))) load_slot(thr, slot);
  duk_tval *to = DUK__REGP_A(ins);
  DUK_TVAL_SET_TVAL_UPDREF(thr, to, slot);
  to = DUK__REGP_A(ins) + 1;
  DUK_TVAL_SET_UNDEFINED_UPDREF(thr, to);
  break;
}
case 243: { // SLOT_TYPEOF
  duk_tval *slot = slots + DUK_DEC_BC(ins);
  if (DUK_UNLIKELY(DUK_TVAL_IS_POINTER(slot))) load_slot(thr, slot);
  duk_push_hstring_stridx(thr, duk_js_typeof_stridx(slot));
  DUK__REPLACE_TOP_A_BREAK();
}
case 244: // SLOT_PREINC
case 245: // SLOT_PREDEC
case 246: // SLOT_POSTINC
case 247: // SLOT_POSTDEC
{
  duk_push_tval(thr, slots + DUK_DEC_BC(ins)); // where the helper can find it by a stack index
  duk__prepost_incdec_reg_helper(thr, DUK__REGP_A(ins), thr->valstack_top - 1, DUK_OP_PREINCR + (DUK_DEC_OP(ins) & 3));
  duk_tval *slot = slots + DUK_DEC_BC(ins);
  DUK_TVAL_SET_TVAL_UPDREF(thr, slot, thr->valstack_top - 1);
  duk_pop_unsafe(thr);
  break;
}
