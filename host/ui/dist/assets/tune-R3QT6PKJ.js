function u(n){return null}export{u as Tune};
