// Made by scripts/ed25519-table.mjs, which says what this is; the build can put another size in its place. [device]

export const TEETH = 5;
export const BLOCKS = 2;
export const SPAN = 26;

export const POINTS =
  "KJ?>;PD;S?`R@/<85Q(D(H1cbE?F(E4K[bhCSa6C+0-THcH:OTId,K/bW]R)@4]3OFfgfL1(5UZ*G/e;(:ZHST9Q3hQ]aB;JV`b<" +
  "?U,8]`PdO6_N-)KP4Lc(*O@:CbK(GUMT<b=T9(H^]G<51V3NW7E]LGCP`F]NBDC/PRRYK?.GII[KDZ(>6d]AaZ-[J0[gKZ)aT.=_" +
  ",O<M6aIU^RO+2):-`X73b2:I1_`*hg`EF^5(5X;><,XCZXS2N],Xb6f*@@D/f=X88F4O7]=,(?L*AQ@9h>af;LgcBeHaaK5,gX*=" +
  "N?Qee=;>XaAT0FS8])9Y-]G@`EhMLXB62EIAaR_F)M<ZX_NHQfK<FBTTaGN@LV3/16CLDPV8b]7C10IE1.1Dc.M@*T*P=b+Hd?J9" +
  "9[O;bfg*A=MC]YU+SK*CEc-Q02;UR.O_)L2:H;2<INJH2DT)0g;@XaZ[QSW;aAJdUP8,Zf)*@5QKK-TJbQ0).W(d=;^YK?X24f8." +
  "ZN;]eAYKbO/2+1,=>@Df:WU.7E45MW;R,60gHPOF45+:L*h`KDa-:Q,Cd9W`)FN:N)^HW0QZYO;QJ3=ZcG^0^>FS:d>_8@<,Z)-<" +
  "E1LbQXRf=6)9-fM.PgaJZB7=M48^YBbS9VVTBBIER4:-.P5XPSEb:TBO]CE_HB=.hB2*?he3.`(;O[c)0?`I+`TU?).OV`+@;g(N" +
  ";6M[c@0P6,@T5QbX>F)B*8?K+EfTa*C<Nhgc=(fY1HeXS]Q2B55h.c5b]ed@ZV36KfU92ePg_G`F-28PT08FdH::,_G4dN^H1WJW" +
  "QNIXM5/GGXYSSJN(:fRM6O.:h`4XN]^P`;?-*aE^)C`CIC^*CQ0ZDAK_FM=GXF0YQ<L5<3DIg44`OEga7>hGE3egheZeDdd67LJL" +
  "*OL>9CS<,4L3C(*R[A,1Yd96SCW;5W+EBLOcEN+<IMFUB9O[=hfcA(*6g`_I0OK2SR2447-bEh:S0CNY2D8(YYQ)I6_bbRVL3dRS" +
  ".Q?MKMD),N/5fAP])XWA8]9Cd,d<JQBh.*dR,+G:)RV?;YUQ0e0(0g7N4HF=4J9MA>KZ/`SM=GP(/9XQdHART>SWMSQMCSYChbf5" +
  ",0?<Z<E/[P04<JVJ^NM@8D.:4U4c`LIA+4)V,GX_:]N=TZ(^VA)D^.R?E^1S_HC[e:N8b5)?F*8,1N6=[DZ0@1)^F_J/N*]c-3Lh" +
  ">ZGhVWTfSDc5Ec4d7T^^)U5Q08WNMVb+;/bVRTe5L:@[bNJf3,fIb13RQHP(G@HfGC-XG<W,bX=b;>=A46P^,K?V`c<,2c?b^<T_" +
  "fP@@g^,D[:-b+=Tc+<S,5e+KVBN8FdcL=[ZbfO]8A39a=5QaL]->ZH;,dG^SSEPB(0@96?TPIV?c2eSQQPM_1e5^BZ].g0cRY8K9" +
  ">*4=`1G>h2:dDP9Qe.O2.80?Na0;Td=T6J.-5:.E*d(.H*[>XNIUYdYB*g^`f1^MFBdJOCL_2UGB/:f(6UIP/,;I-AAG4^`H]X_H" +
  "8eQS38JS(*,;Y]BOE,7dTUWcGA`DW<H)APJ(W<fb):1*B^UQEbC*c]<0S?8JW+d*TKY-++.@>(cb*_O[DbNb5U]fE)]hW]be*.@S" +
  "K,^KNf+6(hB7JaFU]2(,Se;7K:;c@/H_/W3b_W0Rf45WU:5Xe^Af`P:gOaD7P(a.D-?c)E4]bCRLFB==V^)L?^^SL[+c_=__O1?P" +
  ">HEKH+LF^S7]GT14?GY4fVJUG?`N2CJ2<L;T.2RQ9ac>C3TCOfJ8AVIP^dR8B=b_ID_`hE:Qhe:,I/b0h@IBF:7HX<W)BdU<e1[/" +
  "369JG:Q?9*9HIRO<G[dgQ87K.ehGW.2^`[^DNOfd/1cO^*H.(1JA?=DB4cd+POR)822dF(g[+R8A:T+46YGNYaL,ah*^KNLZfLbX" +
  ",)R@C=?>:9W]Kf4Ye@M>V]JLa31gPEXh-[_d:2:K9)7W8+>:L<L-/ATGZIJ_)XZ@^PESEEU?P1-Rb_K2790CFg]6><?@*-=,fJK(" +
  ".8G=7595=)U^3T8OO^gX>d(Ne@`])66dW4U9HU4+=8SE*.M<*4>9I+`V@h(:D?J^8^*FAPGC71MTA/,]^EKLZ>5G?Z[Z@HS*dBA," +
  "agZ[NN6X)g^^@>O9gNEYTU=hAXd2M]/c9b]OfJ-SWhO]JV(b6M`.=GcW>B3*JD/*A=KJGJLD,T];XO_NPBc.1PSA?CQKL@J6<+(C" +
  "Z/3;LRW(7-N(Oh9FPcODeS:L)C*h`AEZQHVVX]bIX>_@H,NB)c`c]GgTF/5FNAGEfK-++L<@(V+,f@)Q<)QS[_FEGThG/YaMLVX=" +
  "E@94Ee44S1@@FM=;>_.h[f45Xcdhh4h@T=VH=S`a.Zh>+V)R?-?IU;/;N_e:GU3Pf,C*4(`MOO*(@<3;e=8[RaPb[,_e9Ib61P97" +
  "A5a9N(gVSNS:1PQH0eJB_;e(M?,/1Y60;>QFS4C]N7=a+Q+e9cd4D>XAZ^f5Ee548dLVCUah,X^UH@UNTQ`ahI[b+0c-UN*G64ET" +
  "978abcK70a)J/IJMfHQT;98]fA8`abU1V4h-)4b6IJBH5RL@O54=Kh8]bN7=U^JKcT^d[)ZA9-V^:.?Pf@6MKQgLG^P7O>+^)2bF" +
  "2IK2Z4Me=9@1_2?><@78+gDNg,BJ)?=4T*M_LR+D@Wdb,X/@HY`GLV)YX>fNKG1<5@bM65Q]-DN`AFh<CD<2]X>:4VTA8P]AO^CU" +
  "?]Wb[>Bh[;:335Q=9eYM+>N73f/Q2R]P216HeXQ7XKT@H^3TCGY+cQ:;_2fMB0+4)N]PXALQU]W-A>.??;S1A5;0D8=AC/4J5=7?" +
  "fL?(cg4^Af++NF)F";

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
