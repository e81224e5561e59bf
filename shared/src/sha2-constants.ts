// The starting words of SHA-512 and its round constants, 88 of 64 bits. Made by scripts/ed25519-table.mjs. [device]

export const SHA512 =
  "RMHbO57W1KXVObBI,ReQdXKC[3Oh<Jh2Mg<fce=/_,G<60^GUBVH9WA)PYa2gX_/G4@_SVG8fV_>H`D.;a?0b1LJWHb^PaR0YE+9" +
  "96ZdM^DU(Wh[T`]6WLFUC?BH1V5Wb@MXC57:^J;>Y/9e_>(]A0b7*:cSAe]NSZI?=SEC)J)_/P2NK6H(*1YHC-89XfNWL,;Igc,b" +
  "ZZ@=4]`X=h7UJ3OWE9OedMaC(cETgWK->.dNDCXQMDT,^,eNY;`[QA*MLWAB)dAe21fdgFLIae<1Kh8XEBeJ4>EULX8P4G/SD>>3" +
  "Q[ZCAUJ(^Q,E,RRCN:gHD)CRD`C8d;UEbKP_+.Y<^JQ791MdNffRP.KYU^*UZ()T+D*Z@VG0heC>hETWWd(b.+g*[`+R72D^O.b9" +
  ";RXQM@HZK--a+0aC<L:2OQH+V)`1`R8I.1f3edZ.IH+?NLT15Y:CeS-YR]g<a]X,E>bTG?N*[9^JW6N`_QN*dZ[EZJBH*OT3/^VS" +
  "N3QDT<0-*>[6Jg3cIZ<e+8.RB@_:e2,4)0e:3*/]aGAL/[><KB(=g*;]:JF.>hV<@@EN.8:=MM2,]d85-F=DHP*,R)2DZTC]aN)Q" +
  ")C)V:+5ZFD+C0,=8S6^10E/;GdacA:+Te>CaCJ,RbX)+[>DZB5N;@SR:K/LJ3W-O2h]EK5gDPbZC[CUTa62E72PdEfVTeK?QKf_8" +
  "?e*@,J4F<,2eS2/K/3(*B8>6T+QWhSh0Kb)2L*-CSdUHfNVWb7cfZBDF=@DDa1haZ5^22GJ76SV1IYA].JdYI(TX/PV_fAE[HWV/" +
  "^``;hbVC9KO)XGNRZEYCcRX@f=TP0KQQ9e+N,aCg5ac.YU85;XY9CHZ_`=h0,]/IZPeRd)]YL417FcS*=LTWe6</O94O8](;4=4^" +
  "gVT7*AC>hM*Oe?NGRe^ZWUR6>S7dT9<.4R]9@E)(";
